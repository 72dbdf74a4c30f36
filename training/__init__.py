"""Training of the embedded captioning model `beamcap-small`."""
