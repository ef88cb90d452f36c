"""What training minimizes: one file each, a class `Trainer`."""
