"""Jobs: admission, listing, cancelling, and what moves them on."""
