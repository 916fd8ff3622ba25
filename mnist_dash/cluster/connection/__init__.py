"""How the API server is spoken to, and what its refusals mean."""
