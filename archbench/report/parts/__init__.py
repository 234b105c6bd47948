"""Tables, figures and sentences that a report has whatever the tasks; every module here is found and used."""
