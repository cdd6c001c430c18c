"""One store made of several: jobs spread over them by kind or tenant, one worker reading all."""
