"""The demo: one complete session in accelerated time, through the same definitions, jobs and clients as any other day.

What belongs here: the driver that steps the exchange's clock and fires the real schedules and sensors, and the summary
of the day. What does not: any rule or threshold of its own.
"""
