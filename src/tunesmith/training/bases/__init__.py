"""Base models to choose from: a table, the Hub, this machine's folders, and how each fits."""
