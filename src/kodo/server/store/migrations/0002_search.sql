-- Files of vector stores, their chunks, and the index of their words.

CREATE TABLE search_files (
    seq INTEGER PRIMARY KEY,
    store TEXT NOT NULL,
    file TEXT NOT NULL,
    UNIQUE (store, file)
);

CREATE TABLE search_attributes (
    file INTEGER NOT NULL,                          -- search_files.seq
    name TEXT NOT NULL,
    kind TEXT NOT NULL,                             -- text, number, truth
    value NOT NULL,
    PRIMARY KEY (file, name)
) WITHOUT ROWID;

CREATE TABLE search_chunks (
    seq INTEGER PRIMARY KEY,
    file INTEGER NOT NULL,                          -- search_files.seq
    number INTEGER NOT NULL,
    start INTEGER NOT NULL,                         -- characters that the chunk before has too
    text TEXT NOT NULL,
    vector BLOB,                                    -- float32, little-endian, of length 1
    UNIQUE (file, number)
);

-- rowid is search_chunks.seq; `place` is the store, so that a search reads the rows of its stores only
CREATE VIRTUAL TABLE search_words USING fts5(terms, place, tokenize = "unicode61 remove_diacritics 0");
