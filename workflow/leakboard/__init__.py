"""leakboard: do image diffusion models leak their training pictures, and which defenses stop it?"""

import gc
import sys

STEP = "snakemake" in vars(sys.modules["__main__"])  # whether this process is a step, run by `job`
if STEP:
    gc.disable()  # until its work begins: nothing that imports make is garbage
