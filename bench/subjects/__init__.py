"""What runs on our side of a measurement, each module as a process: commands come in, answers go out, one line of JSON each."""
