"""The core: video in, moments, tags and clips out. Knows nothing of Prefect and nothing of networks."""
