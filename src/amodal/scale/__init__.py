"""Work on many machines: sources in shards, Ray Data in between, Parquet shards out."""
