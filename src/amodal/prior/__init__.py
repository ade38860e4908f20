"""The shape prior: an auto-encoder and a code book of each class's shapes."""
