//! Copies in object storage that nobody can overwrite.
