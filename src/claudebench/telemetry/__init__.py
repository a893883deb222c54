"""What the server knows about itself: one span per command, from which histogram, log line and trace come."""
