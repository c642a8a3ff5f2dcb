"""Files and uploads: bytes on disk under the home folder, what they are as documents in the store."""
