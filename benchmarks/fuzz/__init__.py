"""Damaged files for every reader, from a seed: each must give its object or one clear line, in bounded time and memory.

    make fuzz                                                a long run of all readers
    python -m benchmarks.fuzz --seconds 60 --seed 1          a shorter one
    python -m benchmarks.fuzz --readers report --number 812  one input again, with its traceback

`readers` lists what is read and from which whole files, `mutators` damages them, `workers` tries the inputs in another
process with limits. To take a format in, write a whole file of it and add a line to `readers.all_readers`.
"""
