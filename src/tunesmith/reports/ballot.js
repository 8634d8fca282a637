addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || !"012".includes(event.key)) return;
  document.querySelector(`button[data-key="${event.key}"]`)?.click();
});
