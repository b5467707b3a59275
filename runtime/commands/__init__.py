"""What the commands share: options, jobs, the pipeline, reports, and why a photo failed."""
