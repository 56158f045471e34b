"""What every page has: menu, title, choices in the link, pickers, forms, tables, galleries, numbers as text, jobs that it waits for."""
