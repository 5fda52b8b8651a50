"""finalfusion files (`.fifu`): a header, then chunks; `header` has the layout."""
