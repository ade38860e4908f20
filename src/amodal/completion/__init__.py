"""The completer: picture and visible mask in, amodal mask out, of any object."""
