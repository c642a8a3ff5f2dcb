"""Development jobs over any Responses API: one folder per job."""
