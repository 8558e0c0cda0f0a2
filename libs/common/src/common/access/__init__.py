"""Who may do what: organisations, people, roles, sessions, API keys, and how people sign in."""
