"""Occlusion made from parts whose masks are known."""
