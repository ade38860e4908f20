"""The methods: one file each, with `losses` and `predict`."""
