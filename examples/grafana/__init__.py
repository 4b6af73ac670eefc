"""Grafana dashboards and alert rules, generated from Python."""
