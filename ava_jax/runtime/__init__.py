"""Devices and processes: meshes, hosts, preemption, logging, compiled programs."""
