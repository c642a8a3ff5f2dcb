"""The store in PostgreSQL, for several servers on one database. Needs the extra ``postgres``."""
