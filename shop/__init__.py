"""What people look at: a finished study as a service and a shop page, whose clicks become events."""
