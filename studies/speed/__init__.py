"""What `bench` is fast at, measured beside the script that a user would write; every part is a benchmark, not a test.

    python -m studies.speed                        every part that this machine can run, then the page
    python -m studies.speed pipeline training      some parts, then the page
    python -m studies.speed page                   the page alone, from the numbers that are there

A part writes its raw numbers to `results/speed/DEVICE/PART.json`; `results/speed.md` is made from those files alone.
"""
