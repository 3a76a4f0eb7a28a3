"""One serving process: its loop, its connections, its rows on the scoreboard."""
