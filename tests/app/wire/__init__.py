"""Tests of app/wire/."""
