"""The commands that training adds to ``edgeclf``; torch is imported only inside them."""
