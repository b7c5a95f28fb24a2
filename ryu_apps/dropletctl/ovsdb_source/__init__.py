"""Registrations that come from the switch's database: `Interface.external_ids`, followed live.

`wanted` decides and is pure; `interfaces` reads the database, `registrations` speaks to the
controller. A process of its own, so that the controller waits for no database.
"""
