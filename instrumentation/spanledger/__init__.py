"""What an application imports or is patched by: instrumentors, and the small public API."""
