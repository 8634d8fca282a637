"""From what a caller calls a model to where its weights are."""

from __future__ import annotations

from tunesmith.schemas.errors import InvalidArgument, NotReady
from tunesmith.schemas.evaluations import ModelReference
from tunesmith.schemas.handles import NOUN_OF_PREFIX, is_handle
from tunesmith.tools.locations import locate_model
from tunesmith.tools.workspace import Workspace


def require_model(workspace: Workspace, model: str, parameter: str = "model") -> ModelReference:
    """The model that a run handle, a Hub id, a local folder or `demo` names.

    Raises:
        UnknownHandle, NotReady: a run that does not exist, or that has not saved anything yet.
        InvalidArgument, UnsafePath, ModelNotFound: as in `locate_model`.
    """
    if not is_handle(model):
        location = locate_model(model, parameter)
        return ModelReference(name=model, kind=location.kind, path=location.path)
    if not is_handle(model, "run"):
        raise InvalidArgument(
            f"{model} is the handle of a {NOUN_OF_PREFIX[model.partition('-')[0]]}, not of a run.",
            "Pass the run-… handle that start_training returned, a Hub id, a local folder, or demo.",
        )
    snapshot = workspace.observer.look(model)
    if not snapshot.paths.adapter.is_dir():
        raise NotReady(
            f"{model} has no finished adapter ({snapshot.state.value}).",
            f'Call get_status with run_id="{model}" and wait_s=30, and make this call once it has succeeded.',
        )
    return ModelReference(name=model, kind="run", path=None)
