"""beamcap: image captioning by the million."""
