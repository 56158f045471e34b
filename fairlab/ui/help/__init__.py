"""Parts of the page Help: a chapter as the page shows it, its sections, and the search."""
