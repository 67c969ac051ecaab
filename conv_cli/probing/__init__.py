"""What a program does to pictures: charts, the program run on them, and what came back read."""
