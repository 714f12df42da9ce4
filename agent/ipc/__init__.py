"""How faces talk to the service: frames of JSON over a local socket whose peer the OS names."""
