"""What this door says of itself: the OpenAPI document and the page made of it."""
