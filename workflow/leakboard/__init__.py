"""leakboard: do image diffusion models leak their training pictures, and which defenses stop it?"""
