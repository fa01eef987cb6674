"""Why a style: where in the photo, and like which known photos."""
