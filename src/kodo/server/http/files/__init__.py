"""Files and uploads: their bytes are on disk under the home folder, their metadata are documents in the store."""
