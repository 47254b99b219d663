"""The people's side, and the project: settings, URLs, pages, commands. Imported by nobody."""
