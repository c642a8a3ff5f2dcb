"""The dashboard at ``/ui``: pages over the server's services. Nothing imports it but what starts the server."""
