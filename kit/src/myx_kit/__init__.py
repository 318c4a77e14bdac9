"""What two services of the MyX control plane need."""
