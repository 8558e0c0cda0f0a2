"""What matching costs: through the service (`service`), and the engine beside engines that one would pick instead (`compare`)."""
